"""A page on this machine: samples under one's hands, trainings live, sets and scores beside each other."""
