"""Pictures for people who have never driven a world: sheets and animations for README and model cards."""
