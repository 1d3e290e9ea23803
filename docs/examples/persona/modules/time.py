# /// module
# description = "The time of day."
# content = "It is ${clock}, in the ${part}."
# ///
time = now()
clock = time.strftime("%H:%M")
part = "morning" if time.hour < 12 else "afternoon" if time.hour < 18 else "evening"

# For those who check this project's own code, which a script is no part of:
# ruff: noqa: D100, ERA001, F821
# mypy: ignore-errors
