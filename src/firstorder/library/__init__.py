"""What a program or a notebook calls: load, train, adapt, predict; `firstorder` offers it all by name."""
