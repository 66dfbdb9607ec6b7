//! Whether a text is well-formed XML, as far as an SVG of ours needs it: every tag closed in its turn, no
//! character that XML forbids.

pub fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let (end, tag) = match rest {
            _ if rest.starts_with("<![CDATA[") => (rest.find("]]>").expect("an end") + 3, ""),
            _ if rest.starts_with("<!--") => (rest.find("-->").expect("an end") + 3, ""),
            _ if rest.starts_with("<?") || rest.starts_with("<!") => {
                (rest.find('>').expect("an end") + 1, "")
            }
            _ => {
                let end = rest.find('>').expect("an end");
                (end + 1, &rest[1..end])
            }
        };
        assert!(!tag.contains('<'), "{tag}");
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.is_empty() && !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
        rest = &rest[end..];
    }
    assert_eq!(open, Vec::<&str>::new());
    assert!(svg.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
}
