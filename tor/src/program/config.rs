//! Arti's configuration, from its own files.

use std::path::PathBuf;

use anyhow::Context as _;
use arti_client::TorClientConfig;
use arti_client::config::default_config_files;
use tor_config::sources::MustRead;
use tor_config::{ConfigurationSource, ConfigurationSources};

/// Reads these files, or those that Arti would read.
pub fn read(files: &[PathBuf]) -> anyhow::Result<TorClientConfig> {
    let mut sources = ConfigurationSources::new_empty();
    if files.is_empty() {
        for source in default_config_files().context("Arti's places of configuration")? {
            sources.push_source(source, MustRead::TolerateAbsence);
        }
    }
    for file in files {
        sources.push_source(ConfigurationSource::from_path(file), MustRead::MustRead);
    }
    let tree = sources.load().context("the configuration cannot be read")?;
    tor_config::resolve(&tree).context("the configuration makes no sense")
}
