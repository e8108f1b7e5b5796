"""What a map, and boxes of road users, show of a frame: flat pictures with depths, and frames taken along by them."""
