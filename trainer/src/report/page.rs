//! The page: one HTML file with everything in it. It needs no network and no script.

use std::fmt::Write;

use base64ct::{Base64, Encoding};
use plotters::style::{Color, RGBColor};

use super::picture::Picture;
use super::recipes::Row;
use super::run::Run;
use super::summary;

const STYLE: &str = include_str!("page.css");

/// A page that is being written.
#[derive(Debug)]
pub struct Page {
    body: String,
}

impl Page {
    /// The title and the table of runs.
    pub fn new(runs: &[Run]) -> Page {
        let mut page = Page {
            body: String::from("<h1>Training report</h1>\n"),
        };
        page.summary(runs);
        page
    }

    fn summary(&mut self, runs: &[Run]) {
        let head = summary::COLUMNS.map(escaped).to_vec();
        let rows = runs.iter().map(|run| {
            let mut cells = summary::row(run).map(|cell| escaped(&cell)).to_vec();
            cells[0] = format!("{} {}", swatch(run.color), cells[0]);
            cells
        });
        self.table(&head, &rows.collect::<Vec<_>>(), summary::NUM_WORDS);
        self.text("The loss is the mean of the last 25 steps; speed is the median of all steps.");
        for run in runs {
            let folder = run.folder.display().to_string();
            for note in notes(run) {
                self.note(&format!("{}: {note} ({folder})", run.name));
            }
        }
    }

    /// A heading and what to know of it.
    pub fn section(&mut self, title: &str, about: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", escaped(title));
        if !about.is_empty() {
            self.text(about);
        }
    }

    /// A heading below a section's.
    pub fn part(&mut self, title: &str, color: RGBColor) {
        let _ = writeln!(self.body, "<h3>{} {}</h3>", swatch(color), escaped(title));
    }

    /// A paragraph.
    pub fn text(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", escaped(text));
    }

    /// A paragraph that stands out.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p class=\"note\">{}</p>", escaped(text));
    }

    /// Charts beside each other, as many as the window has room for.
    pub fn charts(&mut self, pictures: &[Picture]) {
        self.body += "<div class=\"charts\">\n";
        for picture in pictures {
            self.picture(picture);
        }
        self.body += "</div>\n";
    }

    /// A picture as wide as the page.
    pub fn picture(&mut self, picture: &Picture) {
        let _ = writeln!(
            self.body,
            "<figure><img alt=\"{}\" src=\"data:image/png;base64,{}\"></figure>",
            escaped(&picture.alt),
            Base64::encode_string(&picture.png)
        );
    }

    /// Keys and their values in each run.
    pub fn recipes(&mut self, runs: &[Run], rows: &[Row]) {
        let mut head = vec!["key".to_owned(), "default".to_owned()];
        let name = |run: &Run| format!("{} {}", swatch(run.color), escaped(&run.name));
        head.extend(runs.iter().map(name));
        let cells = rows.iter().map(|row| {
            let mut cells = vec![code(row.key), escaped(&row.default)];
            let value = |value: &Option<&str>| value.map_or_else(|| "–".to_owned(), escaped);
            cells.extend(row.values.iter().map(value));
            cells
        });
        self.table(&head, &cells.collect::<Vec<_>>(), head.len());
    }

    /// Cells are HTML; those behind the first `num_words` columns are numbers.
    fn table(&mut self, head: &[String], rows: &[Vec<String>], num_words: usize) {
        let row = |cells: &[String], tag: &str| {
            let cells = cells.iter().enumerate().map(|(at, cell)| {
                let class = if at < num_words {
                    ""
                } else {
                    " class=\"number\""
                };
                format!("<{tag}{class}>{cell}</{tag}>")
            });
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        self.body += "<div class=\"table\"><table>\n<thead>";
        self.body += &row(head, "th");
        self.body += "</thead>\n<tbody>";
        for cells in rows {
            self.body += &row(cells, "td");
        }
        self.body += "</tbody>\n</table></div>\n";
    }

    /// The whole file.
    pub fn finish(self) -> String {
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>Training report</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}</body>\n</html>\n",
            self.body
        )
    }
}

/// What is not as it should be with a run's files.
fn notes(run: &Run) -> Vec<String> {
    let mut notes = Vec::new();
    if !run.damaged.is_empty() {
        let places: Vec<String> = run.damaged.iter().map(usize::to_string).collect();
        notes.push(format!(
            "lines of metrics.jsonl that cannot be read are left out: {}",
            places.join(", ")
        ));
    }
    if run.steps().next().is_none() {
        notes.push("no step is done yet".to_owned());
    }
    if let Err(why) = &run.settings {
        notes.push(format!("settings are not known: {why}"));
    }
    notes
}

fn swatch(color: RGBColor) -> String {
    let (red, green, blue) = color.to_rgba().rgb();
    format!("<span class=\"swatch\" style=\"background:#{red:02x}{green:02x}{blue:02x}\"></span>")
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

/// Text that is not markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
