"""A container as in the guide, in each of the three answers that contain a container."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["CREATED", "LISTED", "STATUS"]

CREATED: Final[dict[str, Any]] = {
    "success": True,
    "message": "Container is being created. Poll GET /containers/status/{id} to track progress.",
    "data": {
        "id": "usr-abc12345-my-api",
        "name": "my-api",
        "template": "nodejs",
        "type": "nodejs",
        "plan": "basic",
        "status": "pending",
        "port": 8005,
        "cpu_allocated": 1,
        "memory_allocated": 1024,
        "storage_allocated": 10240,
        "createdAt": "2026-05-17T16:33:23.116Z",
        "hasWebUI": False,
        "sshUser": "usr-abc12345",
        "sshPort": 8005,
        "publicHost": "stacks.hosting",
        "hasSshAccess": True,
        "vpcNetwork": "vpc-usr-abc12345",
        "imageTag": "stackshosting/nodejs:latest",
        "version": "22",
        "versionMajor": "22",
    },
}
"""Guide, "Create Container"."""

LISTED: Final[dict[str, Any]] = {
    "id": "usr-abc12345-myapp",
    "name": "myapp",
    "type": "nodejs",
    "plan": "basic",
    "status": "running",
    "cpu_allocated": 1,
    "memory_allocated": 1024,
    "storage_allocated": 10240,
    "ip_address": "10.52.0.5",
    "created_at": "2026-02-25T10:30:00.000Z",
    "raw_docker_status": "Up 2 hours (healthy)",
    "image_tag": "stackshosting/nodejs:latest",
    "version": "22",
    "version_major": "22",
}
"""Guide, "List Containers": one row."""

STATUS: Final[dict[str, Any]] = {
    "success": True,
    "id": "usr-abc12345-myapp",
    "name": "myapp",
    "template": "nodejs",
    "type": "nodejs",
    "status": "running",
    "rawStatus": "Up 2 hours (healthy)",
    "ram": 1,
    "storage": 10240,
    "externalAccessEnabled": False,
    "ipAddress": "10.52.0.5",
    "version": "22",
    "versionMajor": "22",
    "plan": "basic",
    "cpuAllocated": "1.00",
    "memoryAllocated": 1024,
    "storageAllocated": 10240,
    "createdAt": "2026-02-25T10:30:00.000Z",
    "updatedAt": "2026-02-25T12:00:00.000Z",
}
"""Guide, "Get Container Status"."""
