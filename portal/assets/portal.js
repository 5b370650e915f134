// Small comforts of every page; all of it works without.
