"""Attribution: which parts of an image a class's score depends on, by several methods with one record."""
