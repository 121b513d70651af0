package clavicle.ui.page

/** What a screen shows, as `mobile/state` makes it: the same types, by the same names, as its `page.rs` and `sentence.rs`. */
data class Page(
    val name: String,
    val tone: Tone,
    val title: Sentence,
    val text: Sentence,
    val banners: List<Banner>,
    val parts: List<Part>,
    val main: Press,
    val others: List<Press>,
    val back: Press,
)

enum class Tone { PLAIN, GOOD, CARE, ALARM }

data class Press(val id: String, val text: Sentence, val isPossible: Boolean, val outside: Outside)

sealed class Outside {
    object Nothing : Outside()
    object Settings : Outside()
    object Picture : Outside()
    data class Send(val text: String) : Outside()
    object Leave : Outside()
}

data class Banner(val tone: Tone, val text: Sentence, val button: Press?)

sealed class Part {
    data class Rows(val rows: List<Entry>) : Part()
    data class Facts(val facts: List<Fact>) : Part()
    data class Choices(val label: Sentence, val isOne: Boolean, val choices: List<Choice>) : Part()
    data class Field(val field: FieldAsked) : Part()
    data class Camera(val torch: Boolean) : Part()
    data class Code(val content: String) : Part()
    data class SecretWords(val count: Int) : Part()
    data class FourWords(val words: String) : Part()
    data class Progress(val label: Sentence, val done: Long, val all: Long) : Part()
    data class Picture(val picture: PictureShown) : Part()
    data class Report(val paragraphs: List<String>) : Part()
    data class Notes(val notes: List<Sentence>) : Part()
}

data class Entry(val tone: Tone, val title: Sentence, val lines: List<Sentence>, val button: Press?)

data class Fact(val label: Sentence, val value: Sentence)

data class Choice(val button: Press, val isChosen: Boolean)

data class FieldAsked(val name: String, val label: Sentence, val kind: FieldKind, val content: String)

enum class FieldKind(val isSecret: Boolean) {
    LINE(false), NUMBER(false), CODE(false), ANSWER(true), PASSPHRASE(true), WORDS(true)
}

data class PictureShown(
    val view: Int,
    val at: Int,
    val of: Int,
    val identity: String,
    val made: String,
    val side: String,
    val warning: Sentence,
)

data class Sentence(val key: String, val arguments: List<Argument>)

data class Argument(val name: String, val value: Value)

sealed class Value {
    data class Text(val text: String) : Value()
    data class Count(val count: Long) : Value()
    data class Day(val year: Int, val month: Int, val day: Int) : Value()
    data class Instant(val ms: Long) : Value()
    data class Span(val ms: Long) : Value()
    data class Word(val key: String) : Value()
}
