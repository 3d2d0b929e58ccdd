"""Looking into the namespace while code runs, without running code of what is looked at."""
