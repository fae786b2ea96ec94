//! What a script says for which phase.

#[derive(Clone, Default)]
pub struct Script {
    pub root_id: String,
    pub case: String,
    pub phases: Vec<(String, Vec<String>)>,
}

impl Script {
    pub fn new(root_id: String, case: String, text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let phases = text.split('|').filter_map(|part| {
            let (phase, calls) = part.split_once(':')?;
            let calls = calls.split(';').map(|call| call.trim().to_owned()).filter(|call| !call.is_empty()).collect();
            Some((phase.trim().to_owned(), calls))
        });
        Self { root_id, case, phases: phases.collect() }
    }

    pub fn calls(&self, phase: &str) -> Vec<String> {
        self.phases.iter().filter(|(name, _)| name == phase).flat_map(|(_, calls)| calls.clone()).collect()
    }
}
