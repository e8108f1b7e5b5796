"""Policies that come with the package: of one command, at random, along a route, by planning, by knowing everything."""
