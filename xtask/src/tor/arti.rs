//! Arti's configuration for a client of the network.

use std::fs;
use std::path::{Path, PathBuf};

use crate::running::{free_port, read};
use crate::tornet::{Network, make};

/// Writes it; the client's folder is made anew.
pub(super) fn client(network: &Network, name: &str) -> Result<PathBuf, String> {
    let folder = network.folder().join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    make(&folder)?;
    let (mut identities, mut ports, mut fallbacks) = (Vec::new(), Vec::new(), String::new());
    for node in &network.nodes {
        if let Some(dir_port) = node.dir_port {
            identities.push(format!("\"{}\"", node.authority_identity()?));
            ports.push(format!("[\"127.0.0.1:{dir_port}\"]"));
        }
        fallbacks.push_str(&format!(
            "[[tor_network.fallback_caches]]\n\
             rsa_identity = \"{}\"\n\
             ed_identity = \"{}\"\n\
             orports = [\"127.0.0.1:{}\"]\n\n",
            node.fingerprint, node.identity, node.or_port
        ));
    }
    let (identities, ports) = (identities.join(", "), ports.join(", "));
    let folder_name = folder.display();
    let text = format!(
        "[storage]\n\
         cache_dir = \"{folder_name}/cache\"\n\
         state_dir = \"{folder_name}/state\"\n\n\
         [storage.permissions]\n\
         dangerously_trust_everyone = true\n\n\
         [address_filter]\n\
         allow_local_addrs = true\n\n\
         # All of them are in one network.\n\
         [path_rules]\n\
         ipv4_subnet_family_prefix = 33\n\n\
         [tor_network.authorities]\n\
         v3idents = [{identities}]\n\
         uploads = [{ports}]\n\
         downloads = [{ports}]\n\
         votes = [{ports}]\n\n\
         {fallbacks}"
    );
    let path = folder.join("client.toml");
    write(&path, &text)?;
    Ok(path)
}

/// The same, but at the end of every way in is a port that nobody listens on.
pub(super) fn lost_client(network: &Network, name: &str) -> Result<(PathBuf, u16), String> {
    let path = client(network, name)?;
    let nobody = free_port()?;
    let mut text = read(&path)?;
    let ports = network
        .nodes
        .iter()
        .flat_map(|node| [Some(node.or_port), node.dir_port]);
    for port in ports.flatten() {
        let there = format!("127.0.0.1:{port}\"");
        text = text.replace(&there, &format!("127.0.0.1:{nobody}\""));
    }
    write(&path, &text)?;
    Ok((path, nobody))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
