package clavicle.ui.kit

import androidx.compose.foundation.Canvas
import androidx.compose.foundation.background
import androidx.compose.foundation.border
import androidx.compose.foundation.clickable
import androidx.compose.foundation.layout.Arrangement
import androidx.compose.foundation.layout.Box
import androidx.compose.foundation.layout.Column
import androidx.compose.foundation.layout.ColumnScope
import androidx.compose.foundation.layout.Row
import androidx.compose.foundation.layout.Spacer
import androidx.compose.foundation.layout.defaultMinSize
import androidx.compose.foundation.layout.fillMaxSize
import androidx.compose.foundation.layout.fillMaxWidth
import androidx.compose.foundation.layout.height
import androidx.compose.foundation.layout.heightIn
import androidx.compose.foundation.layout.padding
import androidx.compose.foundation.layout.size
import androidx.compose.foundation.layout.width
import androidx.compose.foundation.rememberScrollState
import androidx.compose.foundation.selection.selectable
import androidx.compose.foundation.selection.toggleable
import androidx.compose.foundation.shape.CircleShape
import androidx.compose.foundation.shape.RoundedCornerShape
import androidx.compose.foundation.text.BasicText
import androidx.compose.foundation.text.BasicTextField
import androidx.compose.foundation.text.KeyboardOptions
import androidx.compose.foundation.verticalScroll
import androidx.compose.runtime.Composable
import androidx.compose.runtime.Immutable
import androidx.compose.ui.Alignment
import androidx.compose.ui.Modifier
import androidx.compose.ui.draw.clip
import androidx.compose.ui.geometry.CornerRadius
import androidx.compose.ui.geometry.Offset
import androidx.compose.ui.geometry.Size
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.graphics.SolidColor
import androidx.compose.ui.platform.LocalDensity
import androidx.compose.ui.semantics.LiveRegionMode
import androidx.compose.ui.semantics.ProgressBarRangeInfo
import androidx.compose.ui.semantics.Role
import androidx.compose.ui.semantics.clearAndSetSemantics
import androidx.compose.ui.semantics.contentDescription
import androidx.compose.ui.semantics.heading
import androidx.compose.ui.semantics.liveRegion
import androidx.compose.ui.semantics.progressBarRangeInfo
import androidx.compose.ui.semantics.semantics
import androidx.compose.ui.text.TextStyle
import androidx.compose.ui.text.input.ImeAction
import androidx.compose.ui.text.input.KeyboardType
import androidx.compose.ui.text.input.PasswordVisualTransformation
import androidx.compose.ui.text.input.VisualTransformation
import androidx.compose.ui.text.style.TextAlign
import androidx.compose.ui.unit.Dp
import androidx.compose.ui.unit.LayoutDirection
import androidx.compose.ui.unit.dp

/** Something that can be done here: what the button says, whether it can be done now, and what follows. */
@Immutable
class Do(val label: String, val isPossible: Boolean = true, val on: () -> Unit)

/** Text. */
@Composable
fun Say(
    text: String,
    modifier: Modifier = Modifier,
    style: TextStyle = Look.type.body,
    color: Color = Look.palette.page.on,
    align: TextAlign = TextAlign.Start,
) = BasicText(text, modifier, style.copy(color = color, textAlign = align))

@Composable
fun Heading(text: String, modifier: Modifier = Modifier, color: Color = Look.palette.page.on) =
    Say(text, modifier.padding(top = 8.dp).semantics { heading() }, Look.type.heading, color)

@Composable
fun Quiet(text: String, modifier: Modifier = Modifier) = Say(text, modifier, Look.type.small, Look.palette.quiet)

/**
 * Every screen: the way back above, a title, what it is about, and below, always in reach, the one main action and what
 * else can be done. What lies between scrolls.
 */
@Composable
fun Frame(
    title: String,
    text: String,
    back: Do,
    leaves: Boolean,
    main: Do,
    others: List<Do>,
    emblem: Pair<Sign, Tone>?,
    before: @Composable ColumnScope.() -> Unit,
    content: @Composable ColumnScope.() -> Unit,
) {
    Column(Modifier.fillMaxSize().background(Look.palette.page.below)) {
        Row(Modifier.fillMaxWidth().padding(horizontal = 12.dp, vertical = 4.dp)) { Link(back, sign = if (leaves) Signs.close else Signs.back) }
        Column(
            Modifier.weight(1f).fillMaxWidth().verticalScroll(rememberScrollState())
                .padding(horizontal = Look.edge).padding(top = 8.dp, bottom = Look.edge),
            Arrangement.spacedBy(Look.gap),
        ) {
            before()
            if (emblem != null) Emblem(emblem.first, emblem.second)
            Say(title, Modifier.semantics { heading() }, Look.type.title)
            Say(text)
            content()
        }
        Actions(main, others)
    }
}

@Composable
private fun Actions(main: Do, others: List<Do>) {
    Column(Modifier.fillMaxWidth()) {
        Box(Modifier.fillMaxWidth().height(1.dp).background(Look.palette.hair))
        Column(
            Modifier.fillMaxWidth().padding(horizontal = Look.edge, vertical = 12.dp),
            Arrangement.spacedBy(4.dp),
            Alignment.CenterHorizontally,
        ) {
            Main(main)
            others.forEach { Link(it, Modifier.fillMaxWidth()) }
        }
    }
}

/** The main action: the whole width, one on a screen. */
@Composable
fun Main(action: Do, modifier: Modifier = Modifier) {
    val pair = if (action.isPossible) Look.palette.main else Ground(Look.palette.hair, Look.palette.quiet)
    Row(
        modifier.fillMaxWidth().clip(RoundedCornerShape(28.dp)).background(pair.below)
            .clickable(action.isPossible, role = Role.Button, onClick = action.on).heightIn(min = 56.dp).padding(horizontal = 20.dp, vertical = 12.dp),
        Arrangement.Center,
        Alignment.CenterVertically,
    ) {
        Say(action.label, style = Look.type.button, color = pair.on, align = TextAlign.Center)
    }
}

/** An action beside the main one, framed: as large, and less loud. */
@Composable
fun Framed(action: Do, modifier: Modifier = Modifier) {
    val color = if (action.isPossible) Look.palette.link else Look.palette.quiet
    Row(
        modifier.fillMaxWidth().clip(RoundedCornerShape(28.dp)).border(1.5.dp, Look.palette.edge, RoundedCornerShape(28.dp))
            .clickable(action.isPossible, role = Role.Button, onClick = action.on).heightIn(min = 56.dp).padding(horizontal = 20.dp, vertical = 12.dp),
        Arrangement.Center,
        Alignment.CenterVertically,
    ) {
        Say(action.label, style = Look.type.button, color = color, align = TextAlign.Center)
    }
}

/** An action that is text. */
@Composable
fun Link(action: Do, modifier: Modifier = Modifier, sign: Sign? = null) {
    val color = if (action.isPossible) Look.palette.link else Look.palette.quiet
    Row(
        modifier.clip(RoundedCornerShape(12.dp)).clickable(action.isPossible, role = Role.Button, onClick = action.on)
            .defaultMinSize(minWidth = Look.touch, minHeight = Look.touch).padding(horizontal = 12.dp, vertical = 8.dp),
        Arrangement.Center,
        Alignment.CenterVertically,
    ) {
        if (sign != null) {
            Drawn(sign, color)
            Spacer(Modifier.width(8.dp))
        }
        Say(action.label, style = Look.type.button, color = color, align = TextAlign.Center)
    }
}

enum class Tone { Told, Good, Care, Alarm }

@Composable
private fun Tone.pair() = when (this) {
    Tone.Told -> Look.palette.told
    Tone.Good -> Look.palette.good
    Tone.Care -> Look.palette.care
    Tone.Alarm -> Look.palette.alarm
}

private val Tone.sign get() = when (this) {
    Tone.Told -> Signs.told
    Tone.Good -> Signs.done
    Tone.Care -> Signs.care
    Tone.Alarm -> Signs.stop
}

/** A notice on a page: a sign, a sentence, and, where something can be done about it, that. An alarm is read aloud at once. */
@Composable
fun Notice(tone: Tone, text: String, action: Do?) {
    val pair = tone.pair()
    Column(
        Modifier.fillMaxWidth().clip(RoundedCornerShape(Look.round)).background(pair.below)
            .semantics { liveRegion = if (tone == Tone.Alarm) LiveRegionMode.Assertive else LiveRegionMode.Polite }
            .padding(16.dp),
        Arrangement.spacedBy(14.dp),
    ) {
        Row(horizontalArrangement = Arrangement.spacedBy(12.dp)) {
            Drawn(tone.sign, pair.on, Modifier.padding(top = 1.dp))
            Say(text, style = Look.type.smallStrong, color = pair.on)
        }
        if (action != null) {
            Row(
                Modifier.fillMaxWidth().clip(RoundedCornerShape(24.dp)).border(1.5.dp, pair.on, RoundedCornerShape(24.dp))
                    .clickable(action.isPossible, role = Role.Button, onClick = action.on).heightIn(min = Look.touch).padding(horizontal = 16.dp, vertical = 8.dp),
                Arrangement.Center,
                Alignment.CenterVertically,
            ) { Say(action.label, style = Look.type.button, color = pair.on, align = TextAlign.Center) }
        }
    }
}

/** A card; one that leads somewhere is touched as a whole. */
@Composable
fun Card(action: Do? = null, modifier: Modifier = Modifier, content: @Composable ColumnScope.() -> Unit) {
    val shape = RoundedCornerShape(Look.round)
    Row(
        modifier.fillMaxWidth().clip(shape).background(Look.palette.card.below).border(1.dp, Look.palette.hair, shape)
            .then(if (action == null) Modifier else Modifier.clickable(action.isPossible, role = Role.Button, onClick = action.on))
            .heightIn(min = 56.dp).padding(16.dp),
        Arrangement.spacedBy(12.dp),
        Alignment.CenterVertically,
    ) {
        Column(Modifier.weight(1f), Arrangement.spacedBy(12.dp), content = content)
        if (action != null) Drawn(Signs.onward, Look.palette.cardQuiet)
    }
}

/** One of several, of which one is chosen. */
@Composable
fun Radio(action: Do, chosen: Boolean) {
    val shape = RoundedCornerShape(Look.round)
    val pair = if (chosen) Look.palette.chosen else Look.palette.card
    Row(
        Modifier.fillMaxWidth().clip(shape).background(pair.below)
            .border(if (chosen) 2.dp else 1.dp, if (chosen) Look.palette.link else Look.palette.edge, shape)
            .selectable(chosen, action.isPossible, Role.RadioButton, action.on).heightIn(min = 56.dp)
            .padding(horizontal = 16.dp, vertical = 12.dp),
        Arrangement.spacedBy(14.dp),
        Alignment.CenterVertically,
    ) {
        Ring(chosen)
        Say(action.label, Modifier.weight(1f), Look.type.strong, pair.on)
    }
}

@Composable
private fun Ring(chosen: Boolean) {
    val color = if (chosen) Look.palette.link else Look.palette.edge
    Box(Modifier.size(24.dp).border(2.dp, color, CircleShape), Alignment.Center) {
        if (chosen) Box(Modifier.size(12.dp).background(color, CircleShape))
    }
}

/** One of several, each of which is chosen or not. */
@Composable
fun Tick(action: Do, chosen: Boolean) {
    val shape = RoundedCornerShape(Look.round)
    val pair = if (chosen) Look.palette.chosen else Look.palette.card
    val color = if (chosen) Look.palette.link else Look.palette.edge
    Row(
        Modifier.fillMaxWidth().clip(shape).background(pair.below).border(if (chosen) 2.dp else 1.dp, color, shape)
            .toggleable(chosen, action.isPossible, Role.Checkbox) { action.on() }.heightIn(min = 56.dp)
            .padding(horizontal = 16.dp, vertical = 12.dp),
        Arrangement.spacedBy(14.dp),
        Alignment.CenterVertically,
    ) {
        Box(Modifier.size(24.dp).border(2.dp, color, RoundedCornerShape(6.dp)), Alignment.Center) {
            if (chosen) Drawn(Signs.done, color, size = 18.dp, weight = 3f)
        }
        Say(action.label, Modifier.weight(1f), Look.type.strong, pair.on)
    }
}

/** How text is asked for. */
enum class Asked { Text, Number, Answer, Secret, Long }

/** A field with its name above it. What is secret is shown as dots, and the keyboard is asked to remember nothing. */
@Composable
fun Field(name: String, value: String, asked: Asked = Asked.Text, change: (String) -> Unit) {
    val palette = Look.palette
    Column(verticalArrangement = Arrangement.spacedBy(8.dp)) {
        Say(name, Modifier.clearAndSetSemantics {}, Look.type.smallStrong)
        BasicTextField(
            value,
            change,
            Modifier.fillMaxWidth().semantics { contentDescription = name },
            textStyle = (if (asked == Asked.Answer) Look.type.digits else Look.type.body).copy(color = palette.card.on),
            singleLine = asked != Asked.Long,
            minLines = if (asked == Asked.Long) 3 else 1,
            maxLines = if (asked == Asked.Long) 6 else 1,
            cursorBrush = SolidColor(palette.link),
            keyboardOptions = KeyboardOptions(
                autoCorrect = false,
                keyboardType = when (asked) {
                    Asked.Text -> KeyboardType.Text
                    Asked.Number -> KeyboardType.Number
                    Asked.Answer, Asked.Secret, Asked.Long -> KeyboardType.Password
                },
                imeAction = ImeAction.Done,
            ),
            visualTransformation = if (asked == Asked.Secret) PasswordVisualTransformation() else VisualTransformation.None,
            decorationBox = { inner ->
                Box(
                    Modifier.fillMaxWidth().clip(RoundedCornerShape(12.dp)).background(palette.card.below)
                        .border(1.5.dp, palette.edge, RoundedCornerShape(12.dp)).heightIn(min = 56.dp)
                        .padding(horizontal = 16.dp, vertical = 14.dp),
                    Alignment.CenterStart,
                ) { inner() }
            },
        )
    }
}

/** How far something is: a bar, and the same in words. Where nobody knows how far, [part] is nothing. */
@Composable
fun Progress(text: String, part: Float?) {
    val palette = Look.palette
    Column(verticalArrangement = Arrangement.spacedBy(10.dp)) {
        Canvas(
            Modifier.fillMaxWidth().height(10.dp).semantics {
                contentDescription = text
                progressBarRangeInfo = if (part == null) ProgressBarRangeInfo.Indeterminate else ProgressBarRangeInfo(part, 0f..1f)
            },
        ) {
            val round = CornerRadius(size.height / 2)
            drawRoundRect(palette.hair, cornerRadius = round)
            val width = size.width * (part ?: 0.25f).coerceIn(0.03f, 1f)
            val from = if (layoutDirection == LayoutDirection.Rtl) size.width - width else 0f
            drawRoundRect(palette.main.below, Offset(from, 0f), Size(width, size.height), round)
        }
        Say(text, Modifier.clearAndSetSemantics {}, Look.type.small, palette.quiet)
    }
}

/** A name and what it is, one below the other: a fact. */
@Composable
fun Named(name: String, value: String, modifier: Modifier = Modifier) {
    Column(modifier.fillMaxWidth().semantics(mergeDescendants = true) {}, Arrangement.spacedBy(2.dp)) {
        Say(name, style = Look.type.small, color = Look.palette.cardQuiet)
        Say(value, style = Look.type.strong, color = Look.palette.card.on)
    }
}

/** A sign in a circle: what a page is about, at its head. */
@Composable
fun Emblem(sign: Sign, tone: Tone = Tone.Told, size: Dp = 72.dp) {
    val pair = tone.pair()
    Box(Modifier.size(size * LocalDensity.current.fontScale.coerceIn(1f, 1.5f)).background(pair.below, CircleShape), Alignment.Center) {
        Drawn(sign, pair.on, size = size / 2)
    }
}
