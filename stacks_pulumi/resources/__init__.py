"""
The resource classes and their stateless handlers.

A call from the engine passes through a host (`stacks_pulumi.hosts`) -> `_handler` (every call) -> the file of the kind
-> `_session` (the client for this account) -> `stacks_pulumi.api`.

- `_resource`: Which base classes do the resources have, and how does a child refer to its container?
- `_operation`: What does the engine call, and how long may the operation take?
- `_handler`: Which steps does every call take, for all hosts and kinds?
- `_fields`: Which inputs and outputs does a resource have, and what does a change of an input do?
- `_validators`: Which values may an input have?
- `_literals`: Which words does a type checker accept for an input?
- `_values`: How are unknown and secret values marked?
- `_stored`: Which values of a state may an operation return in plain text?
- `_naming`: Which name does a container have by default?
- `_creation`: In which order is an object created, and what happens if that fails?
- `_identity`: Does an object exist, is it the same object, and is it in our account?
- `_owners`: Which resource owns an object, and which names does the program declare?
- `_session`: What do the operations on one account share?
- `_restarts`: When is a source restarted for its connections?
- `_running`: Is a child's container running, and does it belong to this stack?
- `_children`: Does a child still exist, is it the same object, and how is it removed?
- `_preview_total`: Which price and which difference does the last line of a preview show?
- `_container_lifecycle`: Which steps does an operation on a container take?
- `_container_changes`: How does a container differ from the program, and which changes need a new container?
- `container`: What is a Container, and which changes of it are refused?
- `connection`: What is a Connection?
- `allowed_ip`: What is an AllowedIp?
- `_address_list`: How is a container's list of allowed addresses read and changed?
- `vpn_client`: What is a VpnClient?
- `pinned_backup`: What is a PinnedBackup?
- `backup_restore`: What is a BackupRestore?
- `ssh_certificate`: What is an SshCertificate?
- `provider`: How does a program use a second account, and how does an error end the program without a traceback?
- `handlers`: Which handler serves which kind?
"""
