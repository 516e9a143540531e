"""What all figures are drawn with: style, panels, lines and rows; which cells they show, and what these are called."""
