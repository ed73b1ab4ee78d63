"""The Python client: a login, projects, and networks built with ordinary assignments."""

from copernicus.client.client import Client
from copernicus.client.files import RemoteFile
from copernicus.client.network import Input, Instance, Output
from copernicus.client.profiles import Profile, Profiles
from copernicus.client.project import Project
from copernicus.client.waiting import WorkFailed

__all__ = [
    "Client",
    "Input",
    "Instance",
    "Output",
    "Profile",
    "Profiles",
    "Project",
    "RemoteFile",
    "WorkFailed",
]
