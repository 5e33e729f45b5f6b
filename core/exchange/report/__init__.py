"""The report of a count: what it says (`gather`), its pictures, and the HTML file.

The PDF is made in `app.reporting`, because its text needs Qt's fonts.
"""
