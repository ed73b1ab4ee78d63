"""The Python client: a login, projects, and networks built with ordinary assignments."""

from copernicus.client.aio import AsyncClient, AsyncProject
from copernicus.client.client import Client
from copernicus.client.network import Input, Instance, Output
from copernicus.client.profiles import Profile, Profiles
from copernicus.client.project import Project
from copernicus.client.values import FileCache, Record, RemoteFile
from copernicus.client.waiting import WorkFailed

__all__ = [
    "AsyncClient",
    "AsyncProject",
    "Client",
    "FileCache",
    "Input",
    "Instance",
    "Output",
    "Profile",
    "Profiles",
    "Project",
    "Record",
    "RemoteFile",
    "WorkFailed",
]
