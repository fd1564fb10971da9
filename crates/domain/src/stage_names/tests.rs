use super::reads_as_waiting;

#[track_caller]
fn warns(language: &str, names: &[&str]) {
    for name in names {
        let advice = reads_as_waiting(name);
        assert!(advice.is_some_and(|advice| advice.contains(language)), "{name:?} gives {advice:?}");
    }
}

#[track_caller]
fn passes(names: &[&str]) {
    for name in names {
        assert_eq!(reads_as_waiting(name), None, "{name:?}");
    }
}

#[test]
fn english_names_that_wait_are_warned_of() {
    let names = [
        "Waiting for reply",
        "WAITING",
        "Awaiting payment",
        "Client awaits offer",
        "Wait for documents",
        "In progress",
        "in-progress",
        "In process",
        "Thinking",
        "Client is thinking about it",
        "Pending approval",
        "Payment pending",
        "On hold",
        "Under review",
        "Under consideration",
        "In negotiations",
        "Negotiating price",
        "Deciding",
        "Undecided",
        "Discussing terms",
        "Processing",
        "Offer being prepared",
        "To be called back",
        "No answer",
        "Paused (budget)",
    ];
    warns("Offer sent", &names);
}

#[test]
fn english_names_of_results_are_not() {
    passes(&[
        "Offer sent",
        "Contract signed",
        "Invoice paid",
        "Meeting held",
        "Demo done",
        "Budget approved",
        "Decision made",
        "Decision maker met",
        "Needs confirmed",
        "Qualified",
        "Work accepted",
        "Progress report sent",
        "Process agreed",
        "Review completed",
        "Approval received",
        "Waiter hired",
        "Holding company identified",
        "Discussion finished",
        "Negotiation won",
        "Answer received",
        "New",
        "Tobacco order placed",
    ]);
}

#[test]
fn georgian_names_that_wait_are_warned_of() {
    let names = [
        "ელოდება",
        "ელოდება პასუხს",
        "ᲔᲚᲝᲓᲔᲑᲐ",
        "ველოდებით გადახდას",
        "მოლოდინში",
        "პასუხის მოლოდინში",
        "გადახდის მოლოდინი",
        "ლოდინში",
        "მიმდინარე",
        "მოლაპარაკება მიმდინარეობს",
        "ფიქრობს",
        "კლიენტი ფიქრობს",
        "პროცესში",
        "პროცესშია",
        "განხილვაშია",
        "განიხილება",
        "დამუშავებაში",
        "მუშავდება",
        "მუშაობაშია",
        "ყოყმანობს",
        "შეჩერებულია",
        "გადადებულია",
        "არ პასუხობს",
        "ჯერ არ გადაუხდია",
    ];
    warns("შეთავაზება გაგზავნილია", &names);
}

#[test]
fn georgian_names_of_results_are_not() {
    passes(&[
        "შეთავაზება გაგზავნილია",
        "ხელშეკრულება გაფორმდა",
        "ხელშეკრულება ხელმოწერილია",
        "ინვოისი გადახდილია",
        "შეხვედრა ჩატარდა",
        "ზარი განხორციელდა",
        "მოთხოვნა დადასტურებულია",
        "კვალიფიცირებული",
        "ბიუჯეტი დამტკიცდა",
        "საჭიროება გამოვლინდა",
        "დემო ნაჩვენებია",
        "გადაწყვეტილება მიღებულია",
        "პასუხი მიღებულია",
        "განხილვა დასრულდა",
        "პროცესი შეთანხმებულია",
        "მუშაობა დაიწყო",
        "მოლოდინები შეთანხმებულია",
        "მოგებული",
        "ახალი",
    ]);
}

#[test]
fn russian_names_that_wait_are_warned_of() {
    let names = [
        "Ждём ответа",
        "ждем оплату",
        "Клиент ждёт",
        "Ожидает оплаты",
        "Ожидание",
        "В ожидании решения",
        "В режиме ожидания",
        "В работе",
        "в процессе",
        "В обработке",
        "Думает",
        "Клиент думает",
        "Размышляет",
        "Рассматривает КП",
        "Обсуждаем условия",
        "Согласовываем договор",
        "На согласовании",
        "Договор на подписи",
        "На паузе",
        "Идут переговоры",
        "Отложено",
        "Не отвечает",
        "Нет ответа",
        "Ещё не решил",
    ];
    warns("Предложение отправлено", &names);
}

#[test]
fn russian_names_of_results_are_not() {
    passes(&[
        "Счёт оплачен",
        "Договор подписан",
        "Предложение отправлено",
        "КП отправлено",
        "Встреча проведена",
        "Работа выполнена",
        "Работы приняты",
        "Решение принято",
        "Обсуждение завершено",
        "Согласовано",
        "Рассмотрено",
        "Оплата получена",
        "Потребность выявлена",
        "Бюджет утверждён",
        "Ответ получен",
        "Процесс согласован",
        "Ожидания согласованы",
        "Проверка пройдена",
        "Квалифицирован",
        "Заказ в доставке принят",
    ]);
}

#[test]
fn a_name_without_words_waits_for_nothing() {
    passes(&["", " ", "1", "—", "…", "🙂"]);
}
