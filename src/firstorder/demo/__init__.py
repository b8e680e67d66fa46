"""A page in the browser: draw characters, or click points of a wave, and watch a learner adapt."""
