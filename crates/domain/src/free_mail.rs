//! Domains where anybody has a mailbox: they say nothing of a company.

/// In the order of the alphabet.
const PROVIDERS: &[&str] = &[
    "126.com",
    "163.com",
    "aol.com",
    "bigmir.net",
    "bk.ru",
    "duck.com",
    "email.ua",
    "fastmail.com",
    "free.fr",
    "gmail.com",
    "gmx.at",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hey.com",
    "hotmail.co.uk",
    "hotmail.com",
    "hotmail.de",
    "hotmail.fr",
    "hotmail.it",
    "i.ua",
    "icloud.com",
    "inbox.lv",
    "inbox.ru",
    "interia.pl",
    "internet.ru",
    "laposte.net",
    "libero.it",
    "list.ru",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ge",
    "mail.ru",
    "me.com",
    "meta.ua",
    "msn.com",
    "naver.com",
    "o2.pl",
    "onet.pl",
    "orange.fr",
    "outlook.com",
    "outlook.de",
    "outlook.fr",
    "pm.me",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rambler.ru",
    "rediffmail.com",
    "seznam.cz",
    "sina.com",
    "t-online.de",
    "tuta.io",
    "tutanota.com",
    "ukr.net",
    "web.de",
    "wp.pl",
    "ya.ru",
    "yahoo.co.uk",
    "yahoo.com",
    "yahoo.de",
    "yahoo.fr",
    "yandex.by",
    "yandex.com",
    "yandex.kz",
    "yandex.ru",
    "yandex.ua",
    "ymail.com",
    "zoho.com",
];

/// Whether `domain`, in small letters, belongs to such a provider.
pub fn is_free_mail(domain: &str) -> bool {
    PROVIDERS.contains(&domain)
}

#[cfg(test)]
mod tests {
    use super::PROVIDERS;

    #[test]
    fn the_table_is_in_order_in_small_letters_and_long_enough() {
        assert!(PROVIDERS.is_sorted() && PROVIDERS.len() >= 40);
        assert!(PROVIDERS.iter().all(|domain| *domain == domain.to_lowercase()));
    }
}
