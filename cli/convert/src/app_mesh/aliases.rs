//! The field names of articles and walkthroughs beside those of the CRDs.

use serde_json::{Map, Value, json};

const GROUP: &str = "appmesh.k8s.aws/v1beta2";

/// Names of an object in AWS that walkthroughs use in place of `awsName`.
pub fn aws_name_aliases(kind: &str) -> &'static [&'static str] {
    match kind {
        "Mesh" => &["meshName"],
        "VirtualGateway" => &["virtualGatewayName"],
        "VirtualNode" => &["virtualNodeName"],
        "VirtualRouter" => &["virtualRouterName"],
        "VirtualService" => &["virtualServiceName"],
        "GatewayRoute" => &["gatewayRouteName"],
        "Route" => &["routeName"],
        _ => &[],
    }
}

/// Lets the schemas take them too.
pub fn extend(all: &mut Map<String, Value>) {
    let operators = json!({"type": "object", "additionalProperties": false, "properties": {
        "exact": {"type": "string"}, "prefix": {"type": "string"}, "suffix": {"type": "string"}, "regex": {"type": "string"},
        "present": {"type": "boolean"},
        "range": {"type": "object", "additionalProperties": false, "required": ["start", "end"],
            "properties": {"start": {"type": "integer"}, "end": {"type": "integer"}}}}});
    for kind in ["Mesh", "VirtualGateway", "VirtualNode", "VirtualRouter", "VirtualService", "GatewayRoute"] {
        let Some(schema) = all.get_mut(&format!("{GROUP}/{kind}")) else { continue };
        walk(schema, &operators);
        if let Some(spec) = schema.pointer_mut("/properties/spec/properties").and_then(Value::as_object_mut) {
            for alias in aws_name_aliases(kind) {
                spec.insert((*alias).to_owned(), json!({"type": "string"}));
            }
        }
    }
    // a stand-alone Route is an entry of a router's `routes` with a reference to the router
    let item = all
        .get(&format!("{GROUP}/VirtualRouter"))
        .and_then(|router| router.pointer("/properties/spec/properties/routes/items").cloned());
    let Some(mut item) = item else { return };
    let reference = json!({"type": "object", "additionalProperties": false, "required": ["name"], "properties":
        {"name": {"type": "string"}, "namespace": {"type": "string"}, "uid": {"type": "string"}}});
    if let Some(item) = item.as_object_mut() {
        item.remove("required");
        if let Some(fields) = item.get_mut("properties").and_then(Value::as_object_mut) {
            fields.remove("name");
            for name in ["routeName", "awsName", "virtualRouterName"] {
                fields.insert(name.to_owned(), json!({"type": "string"}));
            }
            fields.insert("virtualRouterRef".to_owned(), reference.clone());
            fields.insert("meshRef".to_owned(), reference);
        }
    }
    let route = json!({"type": "object", "additionalProperties": false, "required": ["spec"], "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}, "status": {"type": "object"},
        "spec": item}});
    all.insert(format!("{GROUP}/Route"), route);
}

fn walk(schema: &mut Value, operators: &Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        for (name, field) in properties.iter_mut() {
            match name.as_str() {
                // set by the controller, with a uid; in manifests of people without
                "meshRef" | "virtualGatewayRef" => {
                    if let Some(field) = field.as_object_mut() {
                        field.insert("required".to_owned(), json!(["name"]));
                    }
                }
                "virtualService" => {
                    if let Some(inner) = field.pointer_mut("/properties").and_then(Value::as_object_mut) {
                        inner.insert("virtualServiceName".to_owned(), json!({"type": "string"}));
                    }
                }
                "headers" | "queryParameters" | "metadata" => {
                    if let Some(inner) = field.pointer_mut("/items/properties").and_then(Value::as_object_mut) {
                        inner.insert("match".to_owned(), operators.clone());
                        inner.insert("invert".to_owned(), json!({"type": "boolean"}));
                    }
                }
                "httpRoute" | "http2Route" | "grpcRoute" => {
                    if let Some(inner) = field.pointer_mut("/properties").and_then(Value::as_object_mut) {
                        let rewrite =
                            inner.get("action").and_then(|action| action.pointer("/properties/rewrite")).cloned();
                        if let Some(rewrite) = rewrite {
                            inner.insert("rewrite".to_owned(), rewrite);
                        }
                        if let Some(path) = inner.get_mut("match").and_then(|of| of.pointer_mut("/properties/path")) {
                            let object = path.clone();
                            *path = json!({"anyOf": [object, {"type": "string", "minLength": 1}]});
                        }
                    }
                }
                _ => {}
            }
        }
    }
    for name in ["properties", "items"] {
        match fields.get_mut(name) {
            Some(Value::Object(inner)) if name == "properties" => {
                inner.values_mut().for_each(|field| walk(field, operators))
            }
            Some(inner) => walk(inner, operators),
            None => {}
        }
    }
}
