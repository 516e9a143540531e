"""How the numbers were made: what footnotes, captions and columns say of the runs behind them."""
