"""Tables, figures, reports and progress from plain numbers; nothing here knows TensorFlow.

May import: errors, storage.
"""
