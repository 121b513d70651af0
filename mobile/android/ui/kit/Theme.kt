package clavicle.ui.kit

import androidx.compose.foundation.isSystemInDarkTheme
import androidx.compose.runtime.Composable
import androidx.compose.runtime.CompositionLocalProvider
import androidx.compose.runtime.Immutable
import androidx.compose.runtime.ReadOnlyComposable
import androidx.compose.runtime.staticCompositionLocalOf
import androidx.compose.ui.graphics.Color
import androidx.compose.ui.text.TextStyle
import androidx.compose.ui.text.font.FontFamily
import androidx.compose.ui.text.font.FontWeight
import androidx.compose.ui.unit.dp
import androidx.compose.ui.unit.sp

/** Two colours that are seen together: what lies below, and what is read on it. The gallery holds each pair against WCAG. */
@Immutable
class Ground(val below: Color, val on: Color)

/** The colours, by what they are for and never by what they look like. */
@Immutable
class Palette(
    /** The page. */
    val page: Ground,
    /** What is said beside the point, on the page. */
    val quiet: Color,
    /** A card on the page. */
    val card: Ground,
    /** What is said beside the point, on a card. */
    val cardQuiet: Color,
    /** The edge of a card and of a field: seen against the page, as WCAG 1.4.11 asks. */
    val edge: Color,
    /** A line between two things that are of one kind. Nothing depends on seeing it. */
    val hair: Color,
    /** The one main action. */
    val main: Ground,
    /** An action that is text. */
    val link: Color,
    /** What is chosen. */
    val chosen: Ground,
    /** Four kinds of notice. */
    val told: Ground,
    val good: Ground,
    val care: Ground,
    val alarm: Ground,
    /** Round a picture and behind the camera: dark in both. */
    val dark: Ground,
)

val Light = Palette(
    page = Ground(Color(0xFFF8F6F1), Color(0xFF16262B)),
    quiet = Color(0xFF4C5B60),
    card = Ground(Color(0xFFFFFFFF), Color(0xFF16262B)),
    cardQuiet = Color(0xFF4C5B60),
    edge = Color(0xFF7C898C),
    hair = Color(0xFFE4DFD5),
    main = Ground(Color(0xFF0E5A63), Color(0xFFFFFFFF)),
    link = Color(0xFF0E5A63),
    chosen = Ground(Color(0xFFDCECEC), Color(0xFF0B3B41)),
    told = Ground(Color(0xFFE3ECEE), Color(0xFF17363C)),
    good = Ground(Color(0xFFDFEEDF), Color(0xFF1B4324)),
    care = Ground(Color(0xFFFBEBC8), Color(0xFF513800)),
    alarm = Ground(Color(0xFFF9DEDA), Color(0xFF6B1610)),
    dark = Ground(Color(0xFF0B1012), Color(0xFFF2F4F4)),
)

val Dark = Palette(
    page = Ground(Color(0xFF10181A), Color(0xFFE9EEEE)),
    quiet = Color(0xFFB0BDBF),
    card = Ground(Color(0xFF1A2528), Color(0xFFE9EEEE)),
    cardQuiet = Color(0xFFB0BDBF),
    edge = Color(0xFF7F8F92),
    hair = Color(0xFF2C3A3D),
    main = Ground(Color(0xFF8AD3D6), Color(0xFF03292D)),
    link = Color(0xFF8AD3D6),
    chosen = Ground(Color(0xFF1F4247), Color(0xFFDDF3F3)),
    told = Ground(Color(0xFF21343A), Color(0xFFD9E7EA)),
    good = Ground(Color(0xFF1D3523), Color(0xFFCFEBD3)),
    care = Ground(Color(0xFF41330F), Color(0xFFFBE3AE)),
    alarm = Ground(Color(0xFF4A1D19), Color(0xFFFFDAD4)),
    dark = Ground(Color(0xFF06090A), Color(0xFFF2F4F4)),
)

/** Every pair of [palette] in which something is read, with a name for whoever mends it; and what must be told apart without reading. */
fun pairsToRead(palette: Palette): List<Triple<String, Color, Color>> = with(palette) {
    listOf(
        Triple("page", page.below, page.on), Triple("quiet on page", page.below, quiet),
        Triple("card", card.below, card.on), Triple("quiet on card", card.below, cardQuiet),
        Triple("main", main.below, main.on),
        Triple("link on page", page.below, link), Triple("link on card", card.below, link),
        Triple("chosen", chosen.below, chosen.on), Triple("told", told.below, told.on),
        Triple("good", good.below, good.on), Triple("care", care.below, care.on),
        Triple("alarm", alarm.below, alarm.on), Triple("dark", dark.below, dark.on),
    )
}

/** The shapes that must be seen to know what can be touched. */
fun pairsToSee(palette: Palette): List<Triple<String, Color, Color>> = with(palette) {
    listOf(
        Triple("edge on page", page.below, edge), Triple("edge on card", card.below, edge),
        Triple("main on page", page.below, main.below),
        Triple("main on card", card.below, main.below),
    )
}

/** Sizes of text. Nothing that has to be read is below 16 sp. */
@Immutable
class Type(family: FontFamily) {
    private val base = TextStyle(fontFamily = family)
    val title = base.copy(fontSize = 30.sp, lineHeight = 36.sp, fontWeight = FontWeight.SemiBold)
    val heading = base.copy(fontSize = 20.sp, lineHeight = 26.sp, fontWeight = FontWeight.SemiBold)
    val body = base.copy(fontSize = 18.sp, lineHeight = 26.sp)
    val strong = base.copy(fontSize = 18.sp, lineHeight = 26.sp, fontWeight = FontWeight.SemiBold)
    val small = base.copy(fontSize = 16.sp, lineHeight = 23.sp)
    val smallStrong = base.copy(fontSize = 16.sp, lineHeight = 23.sp, fontWeight = FontWeight.SemiBold)
    val button = base.copy(fontSize = 18.sp, lineHeight = 24.sp, fontWeight = FontWeight.SemiBold)
    val digits = base.copy(fontSize = 28.sp, lineHeight = 34.sp, fontWeight = FontWeight.SemiBold)
}

private val LocalPalette = staticCompositionLocalOf { Light }
private val LocalType = staticCompositionLocalOf { Type(FontFamily.Default) }

object Look {
    val palette: Palette
        @Composable @ReadOnlyComposable get() = LocalPalette.current
    val type: Type
        @Composable @ReadOnlyComposable get() = LocalType.current

    /** What a finger needs. */
    val touch = 48.dp
    val edge = 24.dp
    val gap = 16.dp
    val round = 16.dp
}

/** The look of every screen. The family is the system's own unless a test brings one. */
@Composable
fun Clavicle(dark: Boolean = isSystemInDarkTheme(), family: FontFamily = FontFamily.Default, content: @Composable () -> Unit) {
    val palette = if (dark) Dark else Light
    CompositionLocalProvider(LocalPalette provides palette, LocalType provides Type(family), content = content)
}
