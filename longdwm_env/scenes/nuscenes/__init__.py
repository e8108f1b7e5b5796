"""The nuScenes format, read and written: tables, maps, recorded drives, and a check of any dataset in it."""
