"""The document: tables, plots and targets, drawn from figures that were measured before. Nothing here measures."""
