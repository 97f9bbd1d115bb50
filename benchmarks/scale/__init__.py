"""Time of every operation at growing sizes, with the slope by which it grows."""
