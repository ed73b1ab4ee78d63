"""Pure data that every part of Copernicus speaks: types, values, functions, jobs, edits, events."""
