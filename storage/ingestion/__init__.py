"""From raw tables to a data set: read, check, clean, encode, and a report of what was found."""
