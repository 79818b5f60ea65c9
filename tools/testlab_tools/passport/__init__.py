"""The unit passport: a unit's story over all services, what it lacks beside others of its part, and whether to ship it.

`passport.passport_of` asks; everything else here works on what was answered.
"""
