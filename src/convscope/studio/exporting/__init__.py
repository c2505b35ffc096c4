"""What leaves the studio: a state as one offline page, as Python and as a command. No torch."""
