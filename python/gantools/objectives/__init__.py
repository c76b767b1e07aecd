"""What networks are trained for: functions of what they give, each with its formula and its source."""
