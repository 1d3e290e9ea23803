# /// module
# description = "A mood that kind words lift and rude ones lower, from turn to turn."
# content = "${word} (${level})"
# ///
KIND = ["thank", "please", "lovely", "great"]
RUDE = ["stupid", "bad", "hurry"]

said = message.lower()
level = get_state("mood", 0)
level += len([word for word in KIND if word in said])
level -= len([word for word in RUDE if word in said])
set_state("mood", level)
word = "cheerful" if level > 0 else "gruff" if level < 0 else "calm"

# For those who check this project's own code, which a script is no part of:
# ruff: noqa: D100, ERA001, F821
# mypy: ignore-errors
