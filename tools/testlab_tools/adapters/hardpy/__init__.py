"""HardPy's operator panel: one test stand, its tests, its dialogs and the runs in its JSON storage."""
