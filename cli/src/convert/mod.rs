//! `sluice convert`: manifests of App Mesh, Ingress or the Gateway API as a gateway's configuration.

mod write;

use crate::output::print;
use clap::{Args, Subcommand, ValueEnum};
use sluice_convert::emit::targets::{self, Target};
use sluice_convert::emit::{Place, files, yaml};
use sluice_convert::{Converted, Dialect, Options, Section};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `sluice convert`. The exit code is 0 if all of it was kept, 1 if something is not supported or needs a decision (the output
/// is there), 2 for mistakes in the manifests (nothing is written).
#[derive(Debug, Args)]
pub struct Convert {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    /// VirtualGateways, GatewayRoutes and what they lead to; the CRDs' field names, and those of AWS' walkthroughs.
    AppMesh(Common),
    /// Ingresses by class, with the annotations of ingress-nginx and of the AWS load balancer controller.
    Ingress(Ingress),
    /// Gateways, and the HTTPRoutes and GRPCRoutes that are attached to them.
    GatewayApi(Common),
}

#[derive(Debug, Args)]
struct Ingress {
    /// Convert only Ingresses of this class.
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Manifests, YAML or JSON, with `kind: List` taken apart; folders stand for the .yaml, .yml and .json files in them; `-` is standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Folder for the output; it is made if it is not there, and files of an earlier run are replaced.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// What may stand in the report without failing.
    #[arg(long, value_enum)]
    allow: Vec<Allow>,
    /// Address of the listeners.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    listen: IpAddr,
    /// Another port for a listener; several times for several.
    #[arg(long = "port", value_name = "FROM=TO", value_parser = port)]
    ports: Vec<(u16, u16)>,
    /// Address of Envoy's admin pages.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// A server in place of a cluster's, without TLS; several times for several.
    #[arg(long = "endpoint", value_name = "CLUSTER=IP:PORT", value_parser = endpoint)]
    endpoints: Vec<(String, SocketAddr)>,
    /// Who routes: the header-router, or Envoy's own routes where they say exactly the same; the report has where they cannot.
    #[arg(long, value_enum, default_value_t = Style::Filter)]
    style: Style,
    /// Who runs the gateway; for others than Envoy, `manifests.yaml` is written beside the bootstrap.
    #[arg(long, value_enum, default_value_t = Host::Envoy)]
    target: Host,
    /// The OCI image of the header-router, for `--target`; without a scheme.
    #[arg(long, value_name = "IMAGE", required_if_eq_any = [("target", "envoy-gateway"), ("target", "istio"), ("target", "higress")])]
    image: Option<String>,
    /// Folder of the .wasm files, as Envoy finds it.
    #[arg(long, value_name = "DIR", default_value = "dist")]
    wasm: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Style {
    Filter,
    Native,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Host {
    Envoy,
    EnvoyGateway,
    Istio,
    Higress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Allow {
    /// Lines under "Not supported".
    NotSupported,
    /// Lines under "Needs a decision".
    Decisions,
}

/// Largest manifest in bytes.
const MAX_FILE: u64 = 256 * 1024 * 1024;

fn port(text: &str) -> Result<(u16, u16), String> {
    let parsed = text.split_once('=').and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    parsed
        .filter(|(from, to)| *from > 0 && *to > 0)
        .ok_or_else(|| format!("expected FROM=TO, as in 80=8080, found {text:?}"))
}

fn endpoint(text: &str) -> Result<(String, SocketAddr), String> {
    let parsed = text.split_once('=').and_then(|(name, address)| Some((name.to_owned(), address.parse().ok()?)));
    parsed.ok_or_else(|| format!("expected CLUSTER=IP:PORT, as in default/shop=127.0.0.1:8081, found {text:?}"))
}

impl Convert {
    /// Converts and writes.
    ///
    /// # Errors
    /// Mistakes in the manifests or the options, and what cannot be read or written.
    pub fn run(&self) -> Result<ExitCode, String> {
        let (dialect, common, class) = match &self.source {
            Source::AppMesh(common) => (Dialect::AppMesh, common, None),
            Source::Ingress(Ingress { class, common }) => (Dialect::Ingress, common, class.clone()),
            Source::GatewayApi(common) => (Dialect::GatewayApi, common, None),
        };
        let options = Options { dialect, namespace: common.namespace.clone(), class };
        common.run(&options)
    }
}

impl Common {
    fn run(&self, options: &Options) -> Result<ExitCode, String> {
        let texts = self.read()?;
        let mut converted = sluice_convert::convert(&texts, options).map_err(|mistakes| {
            let all: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
            let count = if all.len() == 1 { "1 mistake".to_owned() } else { format!("{} mistakes", all.len()) };
            format!("{count} in the manifests; nothing was written\n{}", all.join("\n"))
        })?;
        let place = self.place(&converted)?;
        converted.style = match self.style {
            Style::Filter => sluice_convert::Style::Filter,
            Style::Native => sluice_convert::Style::Native,
        };
        let manifests = self.manifests(&mut converted, &place);
        let mut files = files(&mut converted, &place, "What became of the manifests")?;
        files.extend(manifests.map(|text| ("manifests.yaml".to_owned(), text)));
        write::write(&self.output, &files)?;
        self.tell(&converted, &files)
    }

    /// The manifests for another host than plain Envoy; what it cannot do goes into the report.
    fn manifests(&self, converted: &mut Converted, place: &Place) -> Option<String> {
        let (name, target) = match self.target {
            Host::Envoy => return None,
            Host::EnvoyGateway => ("Envoy Gateway", Target::EnvoyGateway),
            Host::Istio => ("Istio", Target::Istio),
            Host::Higress => ("Higress", Target::Higress),
        };
        let made = targets::manifests(target, &converted.model, place, self.image.as_deref().unwrap_or_default());
        for note in made.notes {
            converted.report.line(sluice_convert::report::Line {
                section: Section::Changed,
                text: format!("on {name}: {note}"),
                object: "manifests.yaml".to_owned(),
                field: String::new(),
                file: "manifests.yaml".to_owned(),
                line: 1,
            });
        }
        let documents: Vec<String> = made.documents.iter().map(yaml::text).collect();
        Some(documents.join("---\n"))
    }

    fn place(&self, converted: &Converted) -> Result<Place, String> {
        let clusters = &converted.model.clusters;
        for (name, _) in &self.endpoints {
            if !clusters.contains_key(name) {
                let known: Vec<&str> = clusters.keys().map(String::as_str).collect();
                let near = sluice_convert::schema::nearest(name, &known);
                let near =
                    near.map_or(format!("there are {}", known.join(", ")), |near| format!("did you mean {near:?}?"));
                return Err(format!("--endpoint: unknown cluster {name:?}; {near}"));
            }
        }
        let ports: BTreeMap<u16, u16> = self.ports.iter().copied().collect();
        Ok(Place {
            listen: self.listen,
            ports,
            admin: self.admin,
            wasm: self.wasm.trim_end_matches('/').to_owned(),
            endpoints: self.endpoints.iter().cloned().collect(),
        })
    }

    fn tell(&self, converted: &Converted, files: &BTreeMap<String, String>) -> Result<ExitCode, String> {
        let mut text = String::new();
        for name in files.keys() {
            text.push_str(&format!("{}\n", self.output.join(name).display()));
        }
        text.push_str(&converted.report.summary());
        print(&text)?;
        let open = |section: Section, allowed: Allow| {
            let count = converted.report.count(section);
            if count > 0 && !self.allow.contains(&allowed) { Some((section, count)) } else { None }
        };
        let open = [open(Section::NotSupported, Allow::NotSupported), open(Section::NeedsADecision, Allow::Decisions)];
        let mut code = ExitCode::SUCCESS;
        for (section, count) in open.into_iter().flatten() {
            code = ExitCode::FAILURE;
            eprintln!(
                "sluice: {}: {count}; see {}",
                section.title().to_lowercase(),
                self.output.join("REPORT.md").display()
            );
        }
        Ok(code)
    }

    /// The manifests by file name.
    fn read(&self) -> Result<Vec<(String, String)>, String> {
        let mut texts = Vec::new();
        for file in &self.files {
            if file == Path::new("-") {
                let mut text = Vec::new();
                let read = std::io::stdin().take(MAX_FILE + 1).read_to_end(&mut text);
                read.map_err(|error| format!("standard input: {error}"))?;
                texts.push(("-".to_owned(), utf8("-", text)?));
            } else if file.is_dir() {
                let entries = std::fs::read_dir(file).map_err(|error| format!("{}: {error}", file.display()))?;
                let mut inside: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
                inside.retain(|path| {
                    let kind = path.extension().and_then(|kind| kind.to_str());
                    path.is_file() && matches!(kind, Some("yaml" | "yml" | "json"))
                });
                inside.sort();
                if inside.is_empty() {
                    return Err(format!("{}: no .yaml, .yml or .json files in it", file.display()));
                }
                for path in inside {
                    texts.push(self::file(&path)?);
                }
            } else {
                texts.push(self::file(file)?);
            }
        }
        Ok(texts)
    }
}

fn file(path: &Path) -> Result<(String, String), String> {
    let name = path.display().to_string();
    let size = std::fs::metadata(path).map_err(|error| format!("{name}: {error}"))?.len();
    if size > MAX_FILE {
        return Err(format!("{name}: expected at most {MAX_FILE} bytes, found {size}"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    let text = utf8(&name, bytes)?;
    Ok((name, text))
}

fn utf8(name: &str, bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{name}: expected at most {MAX_FILE} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| format!("{name}: not UTF-8"))
}
