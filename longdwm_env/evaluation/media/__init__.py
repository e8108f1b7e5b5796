"""Pictures that show a world to somebody who has never driven it: sheets and animations for README and model cards."""
