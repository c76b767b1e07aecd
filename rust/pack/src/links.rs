//! The paths of an archive as unpacking it would make them, with its links followed; nothing is unpacked.
//!
//! Names such as `../x` or `/x` do no harm: they are paths like others, and a link is followed within the archive only.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// As many links as a system follows in one path.
const HOPS: usize = 40;
/// As many links to folders as are followed within each other.
const DEPTH: usize = 40;
/// More paths than this through links to folders, in an archive of fewer than an eighth of it, are an attack: links to
/// links multiply.
const LINKED: usize = 1 << 20;

/// What lies at a path of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node<T> {
    /// A file, and where its bytes are.
    File(T),
    /// A folder.
    Folder,
    /// A symbolic link to this path.
    Link(Vec<u8>),
    /// Something that is not read, and why.
    Unread(String),
}

/// Something in an archive that is no item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The name.
    pub name: OsString,
    /// What it is.
    pub reason: String,
}

/// What an archive holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listing<T> {
    /// The files and what should be one, sorted bytewise by name: where the bytes are, or why there are none.
    pub items: Vec<(OsString, Result<T, String>)>,
    /// What else is there, but folders.
    pub faults: Vec<Fault>,
}

/// The members of an archive by path. A later one takes the place of an earlier one of the same path, as in unpacking.
pub(crate) struct Tree<T> {
    nodes: BTreeMap<Vec<u8>, Node<T>>,
    faults: Vec<Fault>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self {
            nodes: BTreeMap::new(),
            faults: Vec::new(),
        }
    }
}

/// What a path leads to.
enum Target<'a, T> {
    File(&'a T),
    Unread(&'a str),
    Folder(Vec<u8>),
}

impl<T: Clone> Tree<T> {
    /// Puts a member at its path.
    pub fn put(&mut self, name: &[u8], node: Node<T>) {
        let path = normal(name);
        if path.is_empty() {
            return; // the folder that everything is in
        }
        let twice = |old: &Node<T>| !matches!((old, &node), (Node::Folder, Node::Folder));
        if self.nodes.get(&path).is_some_and(twice) {
            self.fault(&path, "an earlier file of the same name");
        }
        self.nodes.insert(path, node);
    }

    /// Puts another name of an earlier member (which may be a link itself) at a path.
    pub fn put_hard_link(&mut self, name: &[u8], target: &[u8]) {
        let node = match self.nodes.get(&normal(target)) {
            Some(Node::Folder) => Node::Unread(format!(
                "is a hard link to {}, which is a folder",
                text(target)
            )),
            Some(node) => node.clone(),
            None => Node::Unread(format!(
                "is a hard link to {}, which does not stand before it in the archive",
                text(target)
            )),
        };
        // A member that is linked to itself stays what it is.
        if normal(name) != normal(target) || !self.nodes.contains_key(&normal(name)) {
            self.put(name, node);
        }
    }

    /// Notes that something of this name gives no image.
    pub fn fault(&mut self, name: &[u8], reason: &str) {
        self.faults.push(Fault {
            name: OsString::from_vec(name.to_vec()),
            reason: reason.to_owned(),
        });
    }

    /// All files, also those that are reached by links. An error when links multiply.
    pub fn listing(self) -> Result<Listing<T>, String> {
        let mut walk = Walk {
            tree: &self,
            items: Vec::with_capacity(self.nodes.len()),
            faults: Vec::new(),
            linked: 0,
        };
        for (path, node) in &self.nodes {
            walk.visit(path.clone(), path, node, &mut Vec::new())?;
        }
        let (mut items, mut faults) = (walk.items, walk.faults);
        items.sort_by(|a, b| a.0.cmp(&b.0));
        items.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                faults.push(Fault {
                    name: OsString::from_vec(later.0.clone()),
                    reason: "a file in the place of a link".into(),
                });
            }
            same
        });
        let mut all = self.faults;
        all.extend(faults);
        let items = items
            .into_iter()
            .map(|(name, item)| (OsString::from_vec(name), item))
            .collect();
        Ok(Listing { items, faults: all })
    }

    fn is_folder(&self, path: &[u8]) -> bool {
        path.is_empty()
            || matches!(self.nodes.get(path), Some(Node::Folder))
            || self.below(path).next().is_some()
    }

    /// All that is in a folder, at any depth.
    fn below(&self, folder: &[u8]) -> impl Iterator<Item = (&Vec<u8>, &Node<T>)> {
        let mut prefix = folder.to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        self.nodes
            .range(prefix.clone()..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
    }

    /// What a link at `path` to `target` leads to, or the reason why to nothing.
    fn follow(&self, path: &[u8], target: &[u8]) -> Result<Target<'_, T>, String> {
        let outside = || format!("is a link to {}, outside the archive", text(target));
        let mut here: Vec<&[u8]> = parts(path).collect();
        here.pop();
        let mut ahead: Vec<&[u8]> = parts(target).rev().collect();
        let mut absolute = target.starts_with(b"/");
        let mut to_folder = ends_as_folder(target);
        let missing = || {
            Err(format!(
                "is a link to {}, which is not in the archive",
                text(target)
            ))
        };
        let mut hops = 0;
        while let Some(part) = ahead.pop() {
            if absolute {
                return Err(outside());
            }
            if part == b".." {
                if !self.is_folder(&here.join(&b'/')) {
                    return missing();
                }
                here.pop().ok_or_else(outside)?;
                continue;
            }
            here.push(part);
            if let Some(Node::Link(next)) = self.nodes.get(&here.join(&b'/')) {
                hops += 1;
                if hops == HOPS {
                    return Err("is a link that leads back to itself".into());
                }
                here.pop();
                to_folder |= ahead.is_empty() && ends_as_folder(next);
                absolute = next.starts_with(b"/");
                ahead.extend(parts(next).rev());
            }
        }
        let found = here.join(&b'/');
        match self.nodes.get(&found) {
            _ if absolute => Err(outside()),
            Some(Node::File(_) | Node::Unread(_)) if to_folder => missing(),
            Some(Node::File(place)) => Ok(Target::File(place)),
            Some(Node::Unread(reason)) => Ok(Target::Unread(reason)),
            _ if self.is_folder(&found) => Ok(Target::Folder(found)),
            _ => missing(),
        }
    }
}

struct Walk<'a, T> {
    tree: &'a Tree<T>,
    items: Vec<(Vec<u8>, Result<T, String>)>,
    faults: Vec<Fault>,
    /// Paths seen through links to folders.
    linked: usize,
}

impl<T: Clone> Walk<'_, T> {
    /// Lists what is at `path`, under `name`; `above` are the folders of the links that led there.
    fn visit(
        &mut self,
        name: Vec<u8>,
        path: &[u8],
        node: &Node<T>,
        above: &mut Vec<Vec<u8>>,
    ) -> Result<(), String> {
        if !above.is_empty() {
            self.linked += 1;
            if self.linked > LINKED.max(8 * self.tree.nodes.len()) {
                return Err("its links to folders multiply to more than a million paths".into());
            }
        }
        let unread = |reason: &str| Err::<T, _>(reason.to_owned());
        let tree = self.tree;
        let item = match node {
            Node::Folder => return Ok(()),
            Node::File(place) => Ok(place.clone()),
            Node::Unread(reason) => unread(reason),
            Node::Link(target) => match tree.follow(path, target) {
                Ok(Target::File(place)) => Ok(place.clone()),
                Ok(Target::Unread(reason)) => unread(reason),
                Ok(Target::Folder(folder)) => {
                    above.push(folder_of(path).to_vec());
                    let entered = self.enter(name, folder, above);
                    above.pop();
                    return entered;
                }
                Err(reason) => Err(reason),
            },
        };
        self.items.push((name, item));
        Ok(())
    }

    /// Lists what is in `folder` under the name of a link to it.
    fn enter(
        &mut self,
        name: Vec<u8>,
        folder: Vec<u8>,
        above: &mut Vec<Vec<u8>>,
    ) -> Result<(), String> {
        if above.iter().any(|inner| is_in(inner, &folder)) {
            self.fault(&name, "a link that leads back to a folder above it");
            return Ok(());
        }
        if above.len() > DEPTH {
            self.fault(&name, "a link behind too many others");
            return Ok(());
        }
        let tree = self.tree;
        for (path, node) in tree.below(&folder) {
            let skip = if folder.is_empty() {
                0
            } else {
                folder.len() + 1
            };
            let inner = [&name[..], &path[skip..]].join(&b'/');
            self.visit(inner, path, node, above)?;
        }
        Ok(())
    }

    fn fault(&mut self, name: &[u8], reason: &str) {
        self.faults.push(Fault {
            name: OsString::from_vec(name.to_vec()),
            reason: reason.to_owned(),
        });
    }
}

/// The folder that a path is in; empty for the outermost.
fn folder_of(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|&b| b == b'/');
    &path[..slash.unwrap_or(0)]
}

/// Whether a folder is another one or in it.
fn is_in(inner: &[u8], folder: &[u8]) -> bool {
    let rest = inner.strip_prefix(folder);
    folder.is_empty() || rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

/// The parts of a path, without those that say nothing.
fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|b| *b == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
}

/// Whether a path can only be that of a folder.
fn ends_as_folder(path: &[u8]) -> bool {
    path.ends_with(b"/") || path.ends_with(b"/.")
}

/// A path by its parts.
fn normal(name: &[u8]) -> Vec<u8> {
    parts(name).collect::<Vec<_>>().join(&b'/')
}

/// A name for a message: what is no UTF-8 as `\xff`.
pub(crate) fn text(name: &[u8]) -> String {
    let mut shown = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        shown.push_str(chunk.valid());
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(members: &[(&str, Node<u8>)]) -> Tree<u8> {
        let mut tree = Tree::default();
        for (name, node) in members {
            tree.put(name.as_bytes(), node.clone());
        }
        tree
    }

    fn link(target: &str) -> Node<u8> {
        Node::Link(target.into())
    }

    /// `name=place` of what can be read, `name!` of what cannot.
    fn shown(tree: Tree<u8>) -> (Vec<String>, Vec<String>) {
        let Listing { items, faults } = tree.listing().unwrap();
        let item = |(name, item): &(OsString, Result<u8, String>)| match item {
            Ok(place) => format!("{}={place}", name.display()),
            Err(_) => format!("{}!", name.display()),
        };
        let fault = |f: &Fault| format!("{} {}", f.name.display(), f.reason);
        (
            items.iter().map(item).collect(),
            faults.iter().map(fault).collect(),
        )
    }

    #[test]
    fn links_to_files_and_folders_are_followed() {
        let (items, faults) = shown(tree(&[
            ("./set/a/0", Node::File(1)),
            ("set/a/deep//1", Node::File(2)),
            ("set/b", link("a")),
            ("set/c/x", link("../a/0")),
            ("set/c/y", link("./x")),
            ("set/c/z", link("../b/deep/1")),
            ("set/d", link("c/../b/deep/")),
            ("set/e", link("a/0/..")),
            ("set/f", link("a/0/.")),
        ]));
        assert_eq!(
            items,
            [
                "set/a/0=1",
                "set/a/deep/1=2",
                "set/b/0=1",
                "set/b/deep/1=2",
                "set/c/x=1",
                "set/c/y=1",
                "set/c/z=2",
                "set/d/1=2",
                "set/e!",
                "set/f!",
            ]
        );
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn links_to_nowhere_have_a_reason() {
        let nowhere = [
            ("a/gone", link("x")),
            ("a/out", link("../../x")),
            ("a/root", link("/etc/passwd")),
            ("a/round", link("about")),
            ("a/about", link("round")),
            ("a/pipe", Node::Unread("is a pipe".into())),
            ("a/to-pipe", link("pipe")),
            ("a/via", link("root")),
        ];
        let items = tree(&nowhere).listing().unwrap().items.into_iter();
        let reasons: Vec<_> = items.map(|(_, item)| item.unwrap_err()).collect();
        let (items, faults) = shown(tree(&nowhere));
        let names = [
            "about", "gone", "out", "pipe", "root", "round", "to-pipe", "via",
        ];
        assert_eq!(items, names.map(|n| format!("a/{n}!")));
        assert_eq!(faults, [""; 0]);
        assert_eq!(
            reasons,
            [
                "is a link that leads back to itself",
                "is a link to x, which is not in the archive",
                "is a link to ../../x, outside the archive",
                "is a pipe",
                "is a link to /etc/passwd, outside the archive",
                "is a link that leads back to itself",
                "is a pipe",
                "is a link to root, outside the archive",
            ]
        );
    }

    #[test]
    fn a_link_to_a_folder_that_it_is_in_is_not_followed() {
        let (items, faults) = shown(tree(&[
            ("a/0", Node::File(1)),
            ("a/up", link("..")),
            ("a/self", link(".")),
            ("b/over", link("../a")),
            ("c", link("b")),
        ]));
        assert_eq!(items, ["a/0=1", "b/over/0=1", "c/over/0=1"]);
        assert_eq!(faults.len(), 6, "{faults:?}");
        assert!(faults.iter().all(|f| f.contains("leads back to a folder")));
    }

    #[test]
    fn hard_links_are_what_their_target_was() {
        let mut tree = tree(&[("a", Node::File(1)), ("l", link("a")), ("d", Node::Folder)]);
        for (name, target) in [
            ("b", "./a"),
            ("c", "b"),
            ("m", "l"),
            ("e", "d"),
            ("f", "late"),
            ("a", "a"),
        ] {
            tree.put_hard_link(name.as_bytes(), target.as_bytes());
        }
        tree.put(b"a", Node::File(9));
        let (items, faults) = shown(tree);
        assert_eq!(items, ["a=9", "b=1", "c=1", "e!", "f!", "l=9", "m=9"]);
        assert_eq!(faults, ["a an earlier file of the same name"]);
    }

    #[test]
    fn links_that_multiply_are_refused() {
        let mut tree = tree(&[("d30/0", Node::File(1))]);
        for i in 0..30 {
            for side in ["x", "y"] {
                let name = format!("d{i}/{side}");
                tree.put(name.as_bytes(), link(&format!("../d{}", i + 1)));
            }
        }
        assert!(tree.listing().unwrap_err().contains("multiply"));
    }

    #[test]
    fn a_long_chain_of_links_ends() {
        let mut chain = Tree::default();
        for i in 0..100_000 {
            let target = format!("../{}", i + 1).into_bytes();
            chain.put(format!("{i}/x").as_bytes(), Node::Link(target));
        }
        chain.put(b"100000/0", Node::File(0_u8));
        let found = chain.listing();
        // Cut off by its depth or by the number of its paths, not by the stack.
        assert!(found.is_err() || !found.unwrap().faults.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_links_make_it_panic_or_give_a_name_twice(
            members in proptest::collection::vec(("[ab./]{1,6}", proptest::option::of("[ab./]{1,6}")), 0..12),
        ) {
            let mut tree = Tree::default();
            for (i, (name, target)) in members.into_iter().enumerate() {
                let node = target.map_or(Node::File(i), |t| Node::Link(t.into()));
                tree.put(name.as_bytes(), node);
            }
            let items = tree.listing().unwrap().items;
            proptest::prop_assert!(items.windows(2).all(|w| w[0].0 < w[1].0));
        }
    }
}
