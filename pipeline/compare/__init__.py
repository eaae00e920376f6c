"""Methods compared: the rows of a file are trained with several seeds, scored and evaluated, for one table."""
