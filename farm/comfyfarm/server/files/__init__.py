"""The files of an instance: folders on disk, uploads, views, users."""
