"""TikHub AI Gateway: a self-hosted AI gateway that lives inside Django.

Add ``tikhub_app`` to ``INSTALLED_APPS`` and include ``tikhub_app.urls``; see README.md for the rest. Importing this
package does no work: it reads no settings and opens no connection.
"""

__version__ = "0.1.0"
