"""A table as text: Markdown, LaTeX, HTML, Typst, comma-separated, and on a terminal."""
