package clavicle.ui.page

import androidx.compose.runtime.Composable
import androidx.compose.runtime.Stable
import androidx.compose.ui.Modifier
import androidx.compose.ui.graphics.ImageBitmap

/** What a person did on a screen. */
sealed class Act {
    /** A button was pressed. What it asks of the telephone itself stands in [Press.outside]. */
    data class Pressed(val press: Press) : Act()

    /** This stands in a field that is no secret, now. */
    data class Typed(val field: String, val text: String) : Act()

    /** This stands in a secret field; it comes right before the press that is about it. Whoever takes it overwrites it. */
    class Secret(val field: String, val text: CharArray) : Act()
}

/** What a screen has drawn by others, since only a telephone can, or only the core may. */
@Stable
interface Shell {
    /** What the camera sees. */
    @Composable
    fun Camera(torch: Boolean, modifier: Modifier)

    /** The dark squares of a QR code with this content: a row is a line, a bit is a square. */
    fun code(content: String): List<BooleanArray>

    /** The words of the wallet, asked of the core. They are shown, and kept nowhere. */
    fun words(): List<String>

    /** A picture, as far as its tiles have come. */
    fun picture(view: Int, at: Int): ImageBitmap?
}
