//! Just enough of Rust's lexical grammar to tell code from comments and string literals, and production code from test modules.

use std::ops::Range;

/// A Rust text taken apart. `code` has the same lines as the original; comments and the contents of literals are blanks in it.
pub struct Lexed {
    pub code: String,
    /// The comments alone, on their lines.
    pub comments: String,
    /// The line (from 1) on which a string literal begins, and its content as written.
    pub strings: Vec<(usize, String)>,
}

/// Takes a Rust text apart.
pub fn lex(text: &str) -> Lexed {
    let chars: Vec<char> = text.chars().collect();
    let mut lexed = Lexed { code: String::with_capacity(text.len()), comments: String::new(), strings: Vec::new() };
    let mut at = 0;
    let mut line = 1;
    while at < chars.len() {
        let token = token(&chars, at);
        let is_comment = matches!(token, Token::Comment { .. });
        let end = match token {
            Token::Code => {
                lexed.code.push(chars[at]);
                at + 1
            }
            Token::Comment { end } | Token::Blank { end } => {
                lexed.code.extend(chars[at..end].iter().map(|&c| blank(c)));
                end
            }
            Token::Text { open, close, end } => {
                lexed.strings.push((line, chars[open..close].iter().collect()));
                lexed.code.push('"');
                lexed.code.extend(chars[open..close].iter().map(|&c| blank(c)));
                lexed.code.push('"');
                end
            }
        };
        let kept = chars[at..end].iter().filter(|&&c| is_comment || c == '\n');
        lexed.comments.extend(kept);
        line += chars[at..end].iter().filter(|&&c| c == '\n').count();
        at = end;
    }
    lexed
}

/// `code` with every item under `#[cfg(test)]` blanked.
pub fn without_test_items(code: &str) -> String {
    let mut production = String::with_capacity(code.len());
    let mut at = 0;
    for span in test_items(code) {
        production.push_str(&code[at..span.start]);
        production.extend(code[span.clone()].chars().map(blank));
        at = span.end;
    }
    production.push_str(&code[at..]);
    production
}

/// The byte ranges of the items under `#[cfg(test)]`.
pub fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (start, _) in code.match_indices("#[cfg(test)]") {
        if items.last().is_none_or(|last| last.end <= start) {
            items.push(start..start + item_length(&code[start..]));
        }
    }
    items
}

/// Whether `c` can stand in an identifier.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words of a line with the byte offset at which each begins.
pub fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.split(|c| !is_word(c))
        .filter(|word| !word.is_empty())
        .map(|word| (word.as_ptr() as usize - line.as_ptr() as usize, word))
}

enum Token {
    Code,
    Comment { end: usize },
    Blank { end: usize },
    Text { open: usize, close: usize, end: usize },
}

fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}

fn token(chars: &[char], at: usize) -> Token {
    let next = chars.get(at + 1).copied();
    match (chars[at], next) {
        ('/', Some('/')) => Token::Comment { end: position(chars, at, |rest| rest[0] == '\n') },
        ('/', Some('*')) => Token::Comment { end: block_comment_end(chars, at) },
        ('"', _) => escaped(chars, at),
        ('r', Some('"' | '#')) if at == 0 || !is_word(chars[at - 1]) || chars[at - 1] == 'b' => raw(chars, at),
        ('\'', Some('\\')) => Token::Blank { end: position(chars, at + 3, |rest| rest[0] == '\'') + 1 },
        ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => Token::Blank { end: at + 3 },
        _ => Token::Code,
    }
}

/// The first index from `from` at which `found` holds for the rest, or the end.
fn position(chars: &[char], from: usize, found: impl Fn(&[char]) -> bool) -> usize {
    (from..chars.len()).find(|&index| found(&chars[index..])).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut index = at;
    while index < chars.len() {
        match (chars[index], chars.get(index + 1)) {
            ('/', Some('*')) => (depth, index) = (depth + 1, index + 2),
            ('*', Some('/')) => (depth, index) = (depth - 1, index + 2),
            _ => index += 1,
        }
        if depth == 0 {
            break;
        }
    }
    index.min(chars.len())
}

fn escaped(chars: &[char], at: usize) -> Token {
    let mut close = at + 1;
    while close < chars.len() && chars[close] != '"' {
        close += if chars[close] == '\\' { 2 } else { 1 };
    }
    let close = close.min(chars.len());
    Token::Text { open: at + 1, close, end: (close + 1).min(chars.len()) }
}

fn raw(chars: &[char], at: usize) -> Token {
    let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
    let open = at + 1 + hashes + 1;
    if chars.get(open - 1) != Some(&'"') {
        return Token::Code;
    }
    let close = position(chars, open, |rest| rest[0] == '"' && rest.len() > hashes && rest[1..=hashes].iter().all(|&c| c == '#'));
    Token::Text { open, close, end: (close + 1 + hashes).min(chars.len()) }
}

/// How many bytes the item at the head of `code` takes, up to its `;` or its closing brace.
fn item_length(code: &str) -> usize {
    let mut depth = 0;
    for (index, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return index + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    code.len()
}

#[test]
fn comments_and_literals_are_not_code() {
    let lexed = lex(
        "let a = \"x // y\\\" z\"; // use b\n/* use /* c */ */ let d = r#\"q\"q\"#;\nlet e: &'static str = 'f'; '\\''; g('\"');",
    );
    assert_eq!(lexed.strings, [(1, "x // y\\\" z".to_owned()), (2, "q\"q".to_owned())]);
    assert_eq!(lexed.comments, "// use b\n/* use /* c */ */\n");
    let code: Vec<&str> = lexed.code.lines().map(str::trim_end).collect();
    assert_eq!(code[0], "let a = \"          \";");
    assert_eq!(code[1].trim_start(), "let d = \"   \";");
    assert_eq!(code[2], "let e: &'static str =    ;     ; g(   );");
}

#[test]
fn test_items_are_not_production() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { if true {} }\n}\n#[cfg(test)]\nmod more_tests;\nfn c() {}\n";
    assert_eq!(
        without_test_items(code).lines().map(str::trim).collect::<Vec<_>>(),
        ["fn a() {}", "", "", "", "", "", "", "fn c() {}"]
    );
}
