//! Whether a stage's name reads as a state of waiting. A stage is an achieved, binary result ("Offer sent"): a name that
//! waits says nothing about how far a deal has come. A name is warned of, never refused.

/// Wordings of one language that read as waiting, and what to write instead.
struct Language {
    /// Each is one or more words that follow one another; `…` ends a stem that a word begins with.
    waits: &'static [&'static str],
    advice: &'static str,
}

const ENGLISH: Language = Language {
    waits: &[
        "wait",
        "waits",
        "waiting",
        "await…",
        "pending",
        "thinking",
        "thinks",
        "in thought",
        "in progress",
        "in process",
        "in work",
        "in negotiation…",
        "in discussion…",
        "in review",
        "in approval",
        "in consideration",
        "being…",
        "under review",
        "under consideration",
        "under discussion",
        "under negotiation",
        "under approval",
        "considering",
        "deciding",
        "undecided",
        "negotiating",
        "discussing",
        "reviewing",
        "evaluating",
        "pondering",
        "hesitat…",
        "processing",
        "ongoing",
        "working",
        "on hold",
        "paused",
        "postponed",
        "stalled",
        "no answer",
        "no reply",
        "no response",
        "not decided",
        "to be…",
    ],
    advice: "the name reads as waiting; name the result that was reached, such as \"Offer sent\"",
};

const GEORGIAN: Language = Language {
    waits: &[
        "ელოდებ…",
        "ველოდებ…",
        "ლოდინი",
        "ლოდინში",
        "მოლოდინი",
        "მოლოდინში",
        "მოლოდინშია",
        "მიმდინარე…",
        "ფიქრობ…",
        "ფიქრში",
        "პროცესში",
        "პროცესშია",
        "განხილვაში",
        "განხილვაშია",
        "განიხილ…",
        "განვიხილ…",
        "დამუშავებაში",
        "დამუშავებაშია",
        "მუშავდება",
        "მუშაობაში",
        "მუშაობაშია",
        "მუშაობს",
        "ვმუშაობთ",
        "ყოყმანობ…",
        "წყვეტს",
        "შეთანხმებაში",
        "შეთანხმებაშია",
        "თანხმდება",
        "შეჩერებული…",
        "გადადებული…",
        "პაუზაზე",
        "უპასუხოდ",
        "არ პასუხობს",
        "პასუხის გარეშე",
        "ჯერ არ",
    ],
    advice: "the name reads as waiting; name the result that was reached, such as \"შეთავაზება გაგზავნილია\"",
};

const RUSSIAN: Language = Language {
    waits: &[
        "жду",
        "ждет",
        "ждем",
        "ждут",
        "ждать",
        "ожидает",
        "ожидаем",
        "ожидают",
        "ожидается",
        "ожидание",
        "ожидании",
        "режиме ожидания",
        "в работе",
        "в процессе",
        "в обработке",
        "в раздумьях",
        "в переговорах",
        "в обсуждении",
        "на согласовании",
        "на рассмотрении",
        "на утверждении",
        "на подписании",
        "на подписи",
        "на проверке",
        "на паузе",
        "на удержании",
        "думает",
        "думают",
        "думаем",
        "размышля…",
        "рассматрива…",
        "обсужда…",
        "согласовыва…",
        "обрабатыва…",
        "сомнева…",
        "решает",
        "решают",
        "идет",
        "идут",
        "отложен…",
        "приостановлен…",
        "пауза",
        "не отвечает",
        "нет ответа",
        "без ответа",
        "еще не",
    ],
    advice: "the name reads as waiting; name the result that was reached, such as \"Предложение отправлено\"",
};

/// What to write instead, if the name reads as a state of waiting in English, Georgian or Russian.
pub fn reads_as_waiting(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase().replace('ё', "е");
    let words: Vec<&str> = name.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
    [ENGLISH, GEORGIAN, RUSSIAN]
        .into_iter()
        .find(|language| language.waits.iter().any(|wording| says(&words, wording)))
        .map(|language| language.advice)
}

/// Whether the words of `wording` stand among `words`, one after another.
fn says(words: &[&str], wording: &str) -> bool {
    let wanted: Vec<&str> = wording.split(' ').collect();
    words
        .windows(wanted.len())
        .any(|window| window.iter().zip(&wanted).all(|(word, wanted)| is(word, wanted)))
}

fn is(word: &str, wanted: &str) -> bool {
    wanted.strip_suffix('…').map_or(word == wanted, |stem| word.starts_with(stem))
}

#[cfg(test)]
mod tests;
