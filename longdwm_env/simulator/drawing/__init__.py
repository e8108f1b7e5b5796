"""Drawing the front camera's picture: sky, ground, roadside and vehicles."""
